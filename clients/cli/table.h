// Tables for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::cli {

/// Left-aligned columns, as wide as their widest cell.
class Table {
 public:
  explicit Table(std::vector<std::string> heads) : rows_{std::move(heads)} {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.size() == 1; }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// Bytes as text for a terminal: control characters, those that turn the direction of writing
/// around, and what is not UTF-8 are escaped as \xNN.
std::string printable(const std::string& bytes);
/// Printable, of a long value its first kExcerptBytes and how many it has.
std::string excerpt(const std::string& value);
inline constexpr size_t kExcerptBytes = 256;
/// "7.8s", "2m05s"; "-" if negative.
std::string format_ms(int64_t ms);
/// Local time of a wall clock reading, "2024-05-01 12:00:00"; "-" if 0.
std::string format_time(int64_t unix_ms);

}  // namespace holdfast::cli
