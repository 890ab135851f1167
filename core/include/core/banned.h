/* SPDX-License-Identifier: Apache-2.0 */
/* Force-included everywhere: calls with a safer sibling do not compile. */
#ifndef CORE_BANNED_H
#define CORE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol strtol gmtime localtime

#endif
