/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that is being started has a copy of every descriptor until it runs its own program:
 * what is closed meanwhile is not gone for the kernel, and must be for the loops.
 */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/http_server.h"

static int answer(struct kn_http_req *req, void **ctx)
{
    (void) ctx;
    kn_http_reply(req, 204, NULL, 0, (struct kn_bytes){NULL, 0});
    return 0;
}

static const struct kn_http_ops ops = {.head = answer};

static int connect_to(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_ok(connect(fd, (struct sockaddr *) &at, sizeof(at)));
    return fd;
}

static void ask(int fd, const char *more)
{
    char text[256], got[256];
    int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: localhost\r\n%s\r\n", more);
    assert_int_equal(send(fd, text, (size_t) n, MSG_NOSIGNAL), n);
    ssize_t have = recv(fd, got, sizeof(got) - 1, 0);
    assert_true(have > 0);
    got[have] = '\0';
    assert_non_null(strstr(got, "204"));
}

/* Holds what we have now, as long as the other end of the pipe is open. */
static pid_t copy_descriptors(int *ret_pipe)
{
    int ends[2];
    assert_ok(pipe(ends));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        close(ends[1]);
        (void) !read(ends[0], &byte, 1);
        _exit(0);
    }
    close(ends[0]);
    *ret_pipe = ends[1];
    return child;
}

TEST(a_connection_that_is_closed_while_a_child_has_its_descriptor_says_nothing_more)
{
    struct kn_http_conf conf;
    struct kn_http_server *server;
    struct kn_err err = {0};
    struct kn_conf_table table = {.title = "http",
                                  .keys = kn_http_conf_keys,
                                  .count = kn_http_conf_key_count,
                                  .target = &conf};
    uint16_t port;
    int end;
    assert_ok(kn_conf_defaults(&table, 1));
    conf.loops = 1;
    assert_ok(kn_http_server_new(&conf, kn_clock_system(), &server, &err));
    const struct kn_http_listen listen = {.name = "test", .address = "127.0.0.1:0", .ops = &ops};
    assert_ok(kn_http_server_listen(server, &listen, &port, &err));
    assert_ok(kn_http_server_start(server, &err));

    int first = connect_to(port);
    ask(first, "");
    pid_t child = copy_descriptors(&end);
    ask(first, "Connection: close\r\n"); /* the server closes, the child's copy stays open */
    (void) !send(first, "x", 1, MSG_NOSIGNAL);
    (void) shutdown(first, SHUT_RDWR); /* events of it, if anybody still asked for them */
    for (int i = 0; i < 20; i++) {
        int next = connect_to(port);
        ask(next, "Connection: close\r\n");
        close(next);
    }
    close(first);
    close(end);
    assert_int_equal(waitpid(child, NULL, 0), child);
    kn_http_server_stop(server, 100);
    kn_http_server_free(server);
}

TESTS_MAIN(TEST_OF(a_connection_that_is_closed_while_a_child_has_its_descriptor_says_nothing_more))
