package dev.oncegate;

/** The answer to one request of a batch: an admission, or that the request was refused. */
public sealed interface Answer permits Admission, Answer.Refused {
    /**
     * The admission.
     *
     * @return this
     * @throws OncegateException where the request was refused
     */
    Admission orThrow();

    /**
     * The request was refused, and the others of its batch were not.
     *
     * @param why what a call of its own would have thrown
     */
    record Refused(OncegateException why) implements Answer {
        @Override
        public Admission orThrow() {
            throw why;
        }
    }
}
