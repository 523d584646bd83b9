/* Searches with a regular expression in several encodings. */
#include "oniguruma.h"

int main(int count, char **words) {
    OnigEncoding encodings[] = {ONIG_ENCODING_ASCII, ONIG_ENCODING_UTF8, ONIG_ENCODING_EUC_JP, ONIG_ENCODING_ISO_8859_1};
    const OnigSyntaxType *syntaxes[] = {ONIG_SYNTAX_RUBY, ONIG_SYNTAX_PERL_NG, ONIG_SYNTAX_POSIX_EXTENDED};
    int found = 0;
    onig_initialize(encodings, 4);
    for (int i = 0; i < 12; i++) {
        const OnigUChar *word = (const OnigUChar *)words[0], *end = word;
        regex_t *regex;
        OnigErrorInfo error;
        while (*end)
            end++;
        if (onig_new(&regex, word, end, ONIG_OPTION_DEFAULT, encodings[i % 4], syntaxes[i % 3], &error)) {
            OnigUChar text[ONIG_MAX_ERROR_MESSAGE_LEN];
            found += onig_error_code_to_str(text, count, &error);
            continue;
        }
        OnigRegion *region = onig_region_new();
        found += onig_search(regex, word, end, word, end, region, ONIG_OPTION_NONE);
        found += onig_scan(regex, word, end, region, ONIG_OPTION_NONE, 0, 0);
        onig_region_free(region, 1);
        onig_free(regex);
    }
    return onig_end() + found;
}
