package dev.oncegate;

/** What newer JVMs know of threads. */
final class Threads {
    private Threads() {}

    /** A number of the calling thread, for spreading. */
    static int number() {
        return (int) Thread.currentThread().threadId();
    }

    /** Whether a call that blocks would hold a carrier. */
    static boolean isVirtual() {
        return Thread.currentThread().isVirtual();
    }

    /** A thread that does not keep the JVM alive. */
    static Thread daemon(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        return thread;
    }
}
