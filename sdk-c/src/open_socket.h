/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of libcurl. It makes them non-blocking in a second step whose failure it does not
 * look at, and would then wait in recv() where nothing interrupts it: so they are it from the
 * start. */
#ifndef SDK_OPEN_SOCKET_H
#define SDK_OPEN_SOCKET_H

#include <curl/curl.h>
#include <sys/socket.h>

/* For CURLOPT_OPENSOCKETFUNCTION. */
static inline curl_socket_t open_socket(void *ctx, curlsocktype purpose,
                                        struct curl_sockaddr *address)
{
    (void) ctx;
    (void) purpose;
    return socket(address->family, address->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                  address->protocol);
}

#endif
