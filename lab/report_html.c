/* SPDX-License-Identifier: MIT */
#include "lab/report.h"
void report_html(const struct results *results, FILE *to)
{
    (void)results;
    fputs("<html></html>\n", to);
}
