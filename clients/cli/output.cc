#include "clients/cli/output.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace holdfast::cli {

void print_table(const std::vector<std::string>& header,
                 const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::string& title : header) widths.push_back(title.size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (size_t i = 0; i < cells.size(); ++i) {
      text += cells[i];
      if (i + 1 < cells.size()) text.append(widths[i] - cells[i].size() + 2, ' ');
    }
    std::printf("%s\n", text.c_str());
  };
  line(header);
  for (const auto& row : rows) line(row);
}

int fail(const client::CallError& error) {
  std::fprintf(stderr, "holdfast: %s: %s%s\n", error_code_name(error.code), error.message.c_str(),
               error.maybe_applied ? " (it may have been applied)" : "");
  return kFailed;
}

std::string human_ms(int64_t ms) {
  char text[32];
  if (ms < 0) return "-";
  if (ms < 120'000) {
    std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(ms) / 1e3);
  } else if (ms < 7'200'000) {
    std::snprintf(text, sizeof text, "%ld min", ms / 60'000);
  } else {
    std::snprintf(text, sizeof text, "%ld h", ms / 3'600'000);
  }
  return text;
}

std::string human_time(int64_t unix_ms) {
  if (unix_ms <= 0) return "-";
  const std::time_t seconds = unix_ms / 1'000;
  std::tm local{};
  localtime_r(&seconds, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

std::string printable(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) {
      text += c;
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
    text += escaped;
  }
  return text;
}

}  // namespace holdfast::cli
