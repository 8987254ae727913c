// What must hold, by the names under which it is known everywhere in the project, and the one
// exception that ends a run. The checks stand beside the data that they look at: the core's own
// (raft/core/invariants.h), disk_model, history, lock_history, ledger, liveness.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace holdfast::sim {

enum class Rule : uint8_t {
  kI1,
  kI2,
  kI3,
  kI4,
  kI5,
  kI6,
  kI7,
  kI8,
  kI9,
  kI10,
  kI11,
  kI12,
  kI13,
  kI14,
  kI15,
  kI16,
  kI17,
  kI18,
  kI19,
  kI20,
  kI21,
  kI22,
  kI23,
  kI24,
  kLinear,
  kDurable,
  kLive,
  kStops,
  kCrash,
  kVacuous,
  kDeterminism,
  kCount,
};
inline constexpr size_t kRules = static_cast<size_t>(Rule::kCount);

struct RuleText {
  std::string_view name;  ///< "I14"
  std::string_view text;  ///< what holds, in a sentence
};
const RuleText& text_of(Rule rule);
std::optional<Rule> rule_named(std::string_view name);
/// Which rule a sentence of raft/core/invariants.h breaks.
Rule rule_of_core(std::string_view breach);

/// A rule does not hold; the run ends with this sentence, which begins with the rule's name.
struct Broken : std::runtime_error {
  Broken(Rule broken_rule, const std::string& what);
  Rule rule;
};

}  // namespace holdfast::sim
