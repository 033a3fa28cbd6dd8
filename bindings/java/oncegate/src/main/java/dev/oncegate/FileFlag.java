package dev.oncegate;

/** What is accepted of the file of a shared table. The order is that of the header's bits. */
public enum FileFlag {
    /** The file is for its owner and his group. */
    GROUP,
    /** A file of another owner is accepted. */
    FOREIGN_OWNER,
    /** A symbolic link is followed. */
    SYMLINK,
    /** A file system that is not local, or not in memory, is accepted. */
    ANY_FILE_SYSTEM
}
