/* A WASI command in C: counts lines, words and bytes of its arguments, a line each, or of standard input without any. */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct counts {
  unsigned long lines, words, bytes;
  int in_word;
};

static void add(struct counts *counts, int c) {
  counts->bytes++;
  counts->lines += c == '\n';
  if (isspace(c)) {
    counts->in_word = 0;
  } else if (!counts->in_word) {
    counts->in_word = 1;
    counts->words++;
  }
}

int main(int argc, char **argv) {
  struct counts counts = {0};
  if (argc > 1) {
    for (int i = 1; i < argc; i++) {
      for (const char *c = argv[i]; *c != '\0'; c++) add(&counts, (unsigned char)*c);
      add(&counts, '\n');
    }
  } else {
    for (int c; (c = getchar()) != EOF;) add(&counts, c);
    if (ferror(stdin)) {
      perror("standard input");
      return 2;
    }
  }
  printf("%lu %lu %lu\n", counts.lines, counts.words, counts.bytes);
  return 0;
}
