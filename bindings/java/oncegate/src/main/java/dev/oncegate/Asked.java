package dev.oncegate;

/** What can be begun: a request, or digests that stand for one. */
abstract sealed class Asked permits Request, Hashed {
    Asked() {}

    /** How many bytes its structure has. */
    abstract int size();

    /** How many bytes of a frame it takes beside its structure. */
    abstract long extraBytes();

    /** How many bytes have to be digested, roughly. */
    abstract int payloadBytes();

    /** Writes its structure, whose place is given. */
    abstract void write(Frame frame, int at);

    /** Begins it: the function of its kind. */
    abstract int begin(
            boolean quick, long engine, long asked, long options, long buffer, long admission,
            long error);

    /** Begins several of its kind. */
    abstract int beginBatch(
            boolean quick, long engine, long asked, long count, long options, long buffer,
            long admissions, long error);
}
