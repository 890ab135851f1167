/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"

void server_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (*path != '/' && *path != '@') ||
        kn_str_copy(address.sun_path, sizeof address.sun_path, kn_str_from(path)) < 0)
        return;
    socklen_t len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (*path == '@') /* a name that is no file */
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL,
                         (const struct sockaddr *) &address, len) < 0)
        kn_log_warn("service_manager_not_told", "state=%s error=%s", state, kn_errname(-errno));
    if (fd >= 0)
        (void) close(fd);
}
