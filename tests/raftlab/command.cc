#include "tests/raftlab/command.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace holdfast::raftlab {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr size_t kPrintedMax = 40;
constexpr uint64_t kCountMax = 1'000'000'000;

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

std::string printable(std::string_view word) {
  std::string text(word.substr(0, kPrintedMax));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return word.size() > kPrintedMax ? text + "..." : text;
}

Command::Command(std::string_view line) : rest_(trimmed(line)) {
  if (!rest_.empty()) verb_ = word("verb");
}

std::string_view Command::peek() const { return rest_.substr(0, rest_.find_first_of(kBlanks)); }

std::string_view Command::word(const char* what) {
  if (!fault_.empty()) return {};
  const std::string_view next = peek();
  if (next.empty()) fail(std::string("no ") + what);
  rest_ = trimmed(rest_.substr(next.size()));
  return next;
}

std::string_view Command::rest(const char* what) {
  if (rest_.empty()) fail(std::string("no ") + what);
  return std::exchange(rest_, {});
}

bool Command::take(std::string_view expected) {
  if (!more() || peek() != expected) return false;
  word("word");
  return true;
}

uint64_t Command::number(const char* what, uint64_t low, uint64_t high) {
  return parse(word(what), what, low, high);
}

uint64_t Command::parse(std::string_view text, const char* what, uint64_t low, uint64_t high) {
  if (!fault_.empty()) return low;
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && at == end && low <= value && value <= high) return value;
  fail(std::string(what) + " '" + printable(text) + "' is no number from " + std::to_string(low) +
       " to " + std::to_string(high));
  return low;
}

std::vector<uint64_t> Command::numbers(const char* what, uint64_t low, uint64_t high) {
  std::vector<uint64_t> all;
  std::string_view list = word(what);
  while (fault_.empty()) {
    const size_t comma = list.find(',');
    all.push_back(parse(list.substr(0, comma), what, low, high));
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  std::sort(all.begin(), all.end());
  const auto twice = std::adjacent_find(all.begin(), all.end());
  if (twice != all.end()) fail(std::string(what) + " " + std::to_string(*twice) + " comes twice");
  return all;
}

size_t Command::count(const char* what) { return more() ? number(what, 1, kCountMax) : SIZE_MAX; }

void Command::fail(std::string text) {
  if (fault_.empty()) fault_ = std::move(text);
}

bool Command::complete() {
  if (more()) fail("'" + printable(peek()) + "' is one word too many");
  return fault_.empty();
}

}  // namespace holdfast::raftlab
