/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

/*
 * Tells the service manager that started this process, if one did and asked for it (NOTIFY_SOCKET):
 * "READY=1", "RELOADING=1", "STOPPING=1". Nothing is waited for. Source: systemd's sd_notify(3).
 */
void server_notify(const char *state);

#endif
