#include "clients/cli/arguments.h"

#include <charconv>

namespace holdfast::cli {

namespace {

Error bad(const std::string& message) { return {ErrorCode::kBadArgument, message}; }

const OptionSpec* find(const std::vector<OptionSpec>& specs, const std::string& name) {
  for (const OptionSpec& spec : specs) {
    if (name == spec.name) return &spec;
  }
  return nullptr;
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<Arguments> Arguments::parse(const std::vector<std::string>& words,
                                   const std::vector<OptionSpec>& specs) {
  Arguments out;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      out.child_.assign(words.begin() + static_cast<ptrdiff_t>(i) + 1, words.end());
      break;
    }
    if (word.rfind("--", 0) != 0) {
      out.positional_.push_back(word);
      continue;
    }
    const size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const OptionSpec* spec = find(specs, name);
    if (spec == nullptr) return bad("unknown option --" + name);
    if (spec->value == nullptr) {
      if (equals != std::string::npos) return bad("--" + name + " takes no value");
      out.values_[name] = "true";
    } else if (equals != std::string::npos) {
      out.values_[name] = word.substr(equals + 1);
    } else if (i + 1 < words.size()) {
      out.values_[name] = words[++i];
    } else {
      return bad("--" + name + " needs a value: " + spec->value);
    }
  }
  return out;
}

std::string Arguments::text(const std::string& name, const std::string& otherwise) const {
  const auto at = values_.find(name);
  return at == values_.end() ? otherwise : at->second;
}

Result<int64_t> Arguments::number(const std::string& name, int64_t otherwise, int64_t low,
                                  int64_t high) const {
  const auto at = values_.find(name);
  if (at == values_.end()) return otherwise;
  const auto value = whole_number(at->second);
  if (value && *value >= low && *value <= high) return *value;
  return bad("--" + name + "=" + at->second + ": must be a whole number from " +
             std::to_string(low) + " to " + std::to_string(high));
}

Result<int64_t> Arguments::duration_ms(const std::string& name, int64_t otherwise) const {
  const auto at = values_.find(name);
  if (at == values_.end()) return otherwise;
  const auto value = parse_duration_ms(at->second);
  if (value) return *value;
  return bad("--" + name + "=" + at->second + ": must be a time such as 10s, 250ms or 2m");
}

std::optional<int64_t> parse_duration_ms(const std::string& text) {
  const size_t digits = text.find_first_not_of("0123456789");
  const auto value = whole_number(std::string_view(text).substr(0, digits));
  if (!value || *value > 100'000'000) return std::nullopt;
  const std::string unit = digits == std::string::npos ? "s" : text.substr(digits);
  if (unit == "ms") return *value;
  if (unit == "s") return *value * 1'000;
  if (unit == "m") return *value * 60'000;
  if (unit == "h") return *value * 3'600'000;
  return std::nullopt;
}

}  // namespace holdfast::cli
