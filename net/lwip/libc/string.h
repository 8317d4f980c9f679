/* SPDX-License-Identifier: MIT */
/* lwIP's <string.h>. */
#include "base/string.h"
