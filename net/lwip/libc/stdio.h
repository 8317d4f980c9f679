/* SPDX-License-Identifier: MIT */
/* lwIP's <stdio.h>. */
#include "base/string.h"
