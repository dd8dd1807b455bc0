// SPDX-License-Identifier: Apache-2.0
#include "json_reader.h"

#include <string.h>

static int fail(json_reader *reader, const char *what) {
  if (reader->error == NULL) reader->error = what;
  return -1;
}

static void skip_space(json_reader *reader) {
  while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL && *reader->at != '\0')
    ++reader->at;
}

int json_take(json_reader *reader, char byte) {
  skip_space(reader);
  if (reader->error != NULL || reader->at == reader->end || *reader->at != byte) return 0;
  ++reader->at;
  return 1;
}

int json_expect(json_reader *reader, char byte, const char *what) {
  if (json_take(reader, byte)) return 1;
  fail(reader, what);
  return 0;
}

int json_string(json_reader *reader, char *out, size_t capacity) {
  size_t size = 0;
  if (!json_expect(reader, '"', "expected a string")) return -1;
  while (reader->at < reader->end) {
    char byte = *reader->at++;
    if (byte == '"') {
      out[size] = '\0';
      return (int)size;
    }
    if ((unsigned char)byte < 0x20) return fail(reader, "a control character in a string");
    if (byte == '\\') {
      if (reader->at == reader->end || strchr("\"\\/", *reader->at) == NULL)
        return fail(reader, "only the escapes \\\" \\\\ and \\/ are understood here");
      byte = *reader->at++;
    }
    if (size + 1 == capacity) return fail(reader, "a string is too long");
    out[size++] = byte;
  }
  return fail(reader, "a string does not end");
}

int json_boolean(json_reader *reader) {
  static const char *const kWords[2] = {"false", "true"};
  skip_space(reader);
  for (int value = 0; value < 2; ++value) {
    size_t size = strlen(kWords[value]);
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, kWords[value], size) != 0)
      continue;
    reader->at += size;
    return value;
  }
  return fail(reader, "expected true or false");
}
