/*
 * A real redis-server for programs in C and C++: on a socket in a folder of its own, so that no
 * port is chosen, and with everything on the disk before it answers, so that it forgets nothing
 * when it is killed. It ends with the program, and so does the folder.
 */
#ifndef SERVER_H
#define SERVER_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* As long as a machine with a lot to do may take to start a program: 6,000 looks of 10 ms. */
enum { SERVER_LOOKS = 6000, SERVER_PATH = 64 };

static char server_folder[SERVER_PATH];
static char server_url[SERVER_PATH + 16];
static pid_t server_pid;

static void server_must(int held, const char *what) {
    if (!held) {
        fprintf(stderr, "redis-server: %s (%s)\n", what, strerror(errno));
        exit(1);
    }
}

/* Nothing is told to look again: the server is another process. Looks, with a pause between. */
static void server_pause(void) { (void)poll(NULL, 0, 10); }

static void server_kill(void) {
    if (server_pid != 0) {
        server_must(kill(server_pid, SIGKILL) == 0, "cannot be killed");
        server_must(waitpid(server_pid, NULL, 0) == server_pid, "does not end");
        server_pid = 0;
    }
}

static void server_stop(void) {
    static const char *const left[] = {"appendonlydir/appendonly.aof.1.base.rdb",
                                       "appendonlydir/appendonly.aof.1.incr.aof",
                                       "appendonlydir/appendonly.aof.manifest",
                                       "appendonlydir", "appendonly.aof", "log", "s", "."};
    char path[SERVER_PATH + 64];
    size_t at;
    server_kill();
    for (at = 0; at < sizeof left / sizeof *left; at++) {
        snprintf(path, sizeof path, "%s/%s", server_folder, left[at]);
        if (unlink(path) != 0) {
            (void)rmdir(at + 1 < sizeof left / sizeof *left ? path : server_folder);
        }
    }
}

/* Whether it answers, and has read what lies on its disk. */
static int server_answers(void) {
    struct sockaddr_un address;
    char answer[16];
    ssize_t got = 0;
    const int one = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server_must(one >= 0, "no socket");
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", server_folder);
    if (connect(one, (const struct sockaddr *)&address, sizeof address) == 0
        && write(one, "PING\r\n", 6) == 6) {
        got = read(one, answer, sizeof answer);
    }
    close(one);
    return got >= 5 && memcmp(answer, "+PONG", 5) == 0;
}

/* Starts it, for the first time or again. */
static void server_start(void) {
    int looks;
    server_pid = fork();
    server_must(server_pid >= 0, "no process");
    if (server_pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chdir(server_folder) == 0) {
            execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", "s", "--logfile",
                   "log", "--save", "", "--appendonly", "yes", "--appendfsync", "always",
                   (char *)NULL);
        }
        _exit(127);
    }
    for (looks = 0; !server_answers(); looks++) {
        server_must(looks < SERVER_LOOKS, "does not answer");
        server_must(waitpid(server_pid, NULL, WNOHANG) == 0, "ends at once");
        server_pause();
    }
}

/* The first thing that a program does here. */
static void server_make(void) {
    snprintf(server_folder, sizeof server_folder, "/tmp/oncegate-c-XXXXXX");
    server_must(mkdtemp(server_folder) != NULL, "no folder");
    snprintf(server_url, sizeof server_url, "unix://%s/s", server_folder);
    server_must(atexit(server_stop) == 0, "cannot be stopped");
    server_start();
}

#endif /* SERVER_H */
