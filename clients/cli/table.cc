#include "clients/cli/table.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace holdfast::cli {

namespace {

/// Characters of a cell, which are fewer than its bytes when a name is not ASCII.
size_t width_of(const std::string& cell) {
  return static_cast<size_t>(std::count_if(cell.begin(), cell.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;  // not a continuation byte of UTF-8
  }));
}

/// Unicode's line ends and what turns the direction of writing around (UAX 9, 2.1 to 2.6): a name
/// with one of them makes what stands beside it look like something else.
bool rearranges(uint32_t code) {
  return code == 0x61c || code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

/// The bytes of the character at `at`; 0 if it is none of UTF-8, or one that steers a terminal.
size_t character_at(const std::string& bytes, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[at + i]); };
  const uint32_t first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || bytes.size() - at < length) return 0;
  uint32_t code = first & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t kSmallest[] = {0xa0, 0x800, 0x10000};  // by length; below 0xa0 are controls
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  const bool valid = code >= kSmallest[length - 2] && code <= 0x10ffff && !surrogate;
  return valid && !rearranges(code) ? length : 0;
}

}  // namespace

std::string Table::text() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i] + std::string(widths[i] - width_of(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string printable(const std::string& bytes) {
  std::string out;
  for (size_t at = 0; at < bytes.size();) {
    if (const size_t length = character_at(bytes, at); length > 0) {
      out += bytes.substr(at, length);
      at += length;
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(bytes[at++]));
    out += escaped;
  }
  return out;
}

std::string excerpt(const std::string& value) {
  if (value.size() <= kExcerptBytes) return printable(value);
  size_t end = kExcerptBytes;
  // Not within a character: one of UTF-8 has three further bytes at most.
  while (end > kExcerptBytes - 3 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) --end;
  return printable(value.substr(0, end)) + "... (" + std::to_string(value.size()) + " bytes)";
}

std::string format_ms(int64_t ms) {
  if (ms < 0) return "-";
  char text[32];
  if (ms < 60'000) {
    std::snprintf(text, sizeof text, "%.1fs", static_cast<double>(ms) / 1000.0);
  } else {
    std::snprintf(text, sizeof text, "%lldm%02llds", static_cast<long long>(ms / 60'000),
                  static_cast<long long>(ms / 1000 % 60));
  }
  return text;
}

std::string format_time(int64_t unix_ms) {
  if (unix_ms == 0) return "-";
  const std::time_t seconds = unix_ms / 1000;
  std::tm local{};
  localtime_r(&seconds, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

}  // namespace holdfast::cli
