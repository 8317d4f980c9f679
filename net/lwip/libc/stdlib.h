/* SPDX-License-Identifier: MIT */
/* lwIP's <stdlib.h>. */
#include "base/string.h"
