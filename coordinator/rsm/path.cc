#include "coordinator/rsm/path.h"

#include <array>
#include <cstdint>

namespace holdfast::rsm {
namespace {

/// Bytes of a well-formed UTF-8 sequence that begins with `lead`; 0 if none does.
size_t sequence_length(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

/// Unicode 15, table 3-7: the second byte keeps out overlong forms, surrogates and what is above
/// U+10FFFF.
bool second_byte_fits(uint8_t lead, uint8_t second) {
  switch (lead) {
    case 0xE0:
      return second >= 0xA0 && second <= 0xBF;
    case 0xED:
      return second >= 0x80 && second <= 0x9F;
    case 0xF0:
      return second >= 0x90 && second <= 0xBF;
    case 0xF4:
      return second >= 0x80 && second <= 0x8F;
    default:
      return second >= 0x80 && second <= 0xBF;
  }
}

/// Length of the plain character at the start of `text`; 0 if there is none.
size_t plain_character(std::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  const size_t length = sequence_length(byte(0));
  if (length == 0 || length > text.size()) return 0;
  if (length == 1) return byte(0) < 0x20 || byte(0) == 0x7F ? 0 : 1;
  if (!second_byte_fits(byte(0), byte(1))) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  const bool c1_control = byte(0) == 0xC2 && byte(1) < 0xA0;
  return c1_control ? 0 : length;
}

Error bad_path(std::string_view path, const std::string& what) {
  return {ErrorCode::kBadArgument, "path " + quote(path) + " " + what};
}

Error long_path(std::string_view path, const char* unit, size_t size, size_t limit) {
  return {ErrorCode::kTooLarge, "path " + quote(path) + " has " + std::to_string(size) + " " +
                                    unit + ", the limit is " + std::to_string(limit)};
}

}  // namespace

bool is_plain_text(std::string_view text) {
  while (!text.empty()) {
    const size_t length = plain_character(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string quote(std::string_view text, size_t bytes_max) {
  std::string quoted = "\"";
  std::string_view rest = text;
  while (!rest.empty() && quoted.size() <= bytes_max) {
    const size_t length = plain_character(rest);
    quoted += length == 0 ? std::string_view("?") : rest.substr(0, length);
    rest.remove_prefix(length == 0 ? 1 : length);
  }
  quoted += rest.empty() ? "\"" : "...\"";
  return quoted;
}

Status check_path(std::string_view path, size_t bytes_max, size_t depth_max) {
  if (path.size() > bytes_max) return long_path(path, "bytes", path.size(), bytes_max);
  if (path.empty() || path[0] != '/') return bad_path(path, "does not begin with '/'");
  if (!is_plain_text(path)) return bad_path(path, "is not UTF-8 without control characters");
  size_t depth = 0;
  std::string_view rest = path;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view segment = rest.substr(0, rest.find('/'));
    if (segment.empty()) return bad_path(path, "has an empty segment");
    if (segment == "." || segment == "..") return bad_path(path, "has a '.' or '..' segment");
    rest.remove_prefix(segment.size());
    ++depth;
  }
  if (depth > depth_max) return long_path(path, "segments", depth, depth_max);
  return ok_status();
}

}  // namespace holdfast::rsm
