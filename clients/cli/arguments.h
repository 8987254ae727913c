// The command line of `holdfast`, parsed: options anywhere before "--", then the child's command.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace holdfast::cli {

/// An option that a command takes.
struct OptionSpec {
  const char* name;   ///< without the dashes
  const char* value;  ///< what stands for its value in help; null for a switch
  const char* help;
};

/// What a person typed after the command's name.
class Arguments {
 public:
  /// Errors (BAD_ARGUMENT) name the unknown option, or the one whose value is missing.
  static Result<Arguments> parse(const std::vector<std::string>& words,
                                 const std::vector<OptionSpec>& specs);

  const std::vector<std::string>& positional() const { return positional_; }
  /// What stands behind "--".
  const std::vector<std::string>& child() const { return child_; }
  bool has(const std::string& name) const { return values_.contains(name); }
  std::string text(const std::string& name, const std::string& otherwise) const;
  /// A whole number; an Error names option, value and range.
  Result<int64_t> number(const std::string& name, int64_t otherwise, int64_t low,
                         int64_t high) const;
  /// A duration such as 10s, 250ms, 2m (a bare number means seconds), in ms.
  Result<int64_t> duration_ms(const std::string& name, int64_t otherwise) const;

 private:
  std::map<std::string, std::string> values_;
  std::vector<std::string> positional_;
  std::vector<std::string> child_;
};

/// "10s", "250ms", "2m", "1h" or bare seconds, in ms; nothing if it is none of these.
std::optional<int64_t> parse_duration_ms(const std::string& text);

}  // namespace holdfast::cli
