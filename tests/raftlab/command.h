// One line of a raftlab script, taken apart word by word. The first fault found is kept and ends
// the parsing: what is read after it has no meaning, and the line is refused as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::raftlab {

/// Without its control bytes, cut to a length that fits into an error line.
std::string printable(std::string_view word);

class Command {
 public:
  /// `line` must outlive the command.
  explicit Command(std::string_view line);

  /// The first word; empty on a blank line.
  std::string_view verb() const { return verb_; }
  /// Whether there is another word and no fault so far.
  bool more() const { return fault_.empty() && !rest_.empty(); }
  /// The next word, not taken.
  std::string_view peek() const;
  /// Takes the next word; `what` says in the fault what is missing.
  std::string_view word(const char* what);
  /// Takes everything up to the end of the line.
  std::string_view rest(const char* what);
  /// Takes the next word if it is `expected`.
  bool take(std::string_view expected);
  /// Takes a decimal number from `low` to `high`; `low` if there is a fault.
  uint64_t number(const char* what, uint64_t low, uint64_t high);
  /// Takes numbers with commas between them; ascending, whatever their order in the line. One that
  /// comes twice is a fault.
  std::vector<uint64_t> numbers(const char* what, uint64_t low, uint64_t high);
  /// Takes an optional count; without one, all there are.
  size_t count(const char* what);

  void fail(std::string text);
  const std::string& fault() const { return fault_; }
  /// Whether the line is well-formed: no fault, and nothing is left of it.
  bool complete();

 private:
  uint64_t parse(std::string_view text, const char* what, uint64_t low, uint64_t high);

  std::string_view rest_;  ///< without blanks at its ends
  std::string_view verb_;
  std::string fault_;
};

}  // namespace holdfast::raftlab
