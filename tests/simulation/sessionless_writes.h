// Writes of keys without a session: every copy that a client sends is a command of its own, done at
// most once (I17), never once it was answered NOT APPLIED (I18), and OUTCOME_UNKNOWN is all that an
// answer may leave open. Copies of one write have one tag, which begins their values.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

/// A value that says which write it is of begins with the tag and this.
inline constexpr char kTagEnd = '|';

/// The tag of a value; empty if it has none.
inline std::string write_tag(const std::string& value) {
  const size_t end = value.find(kTagEnd);
  return end == std::string::npos ? std::string() : value.substr(0, end);
}
/// A removal has no value: all removals of a path have one tag.
inline std::string removal_tag(const std::string& path) { return "remove " + path; }

/// The first value with a tag of a transaction's steps, as a client asks for them or as they stand
/// in the log. Copies have one tag, and values of their own.
template <class Steps>
std::string tagged_value(const Steps& then_steps, const Steps& otherwise) {
  for (const Steps* steps : {&then_steps, &otherwise}) {
    for (const auto& step : *steps) {
      if (step.__isset.remove) continue;
      const std::string& value = step.__isset.put ? step.put.value : step.create.value;
      if (!write_tag(value).empty()) return value;
    }
  }
  return {};
}
template <class Steps>
std::string write_tag(const Steps& then_steps, const Steps& otherwise) {
  return write_tag(tagged_value(then_steps, otherwise));
}

class SessionlessWrites {
 public:
  explicit SessionlessWrites(World& world) : world_(world) {}

  /// A copy leaves its client.
  void sent(const std::string& tag) { ++writes_[tag].sent; }
  /// A copy is in the log, and came to this. Throws Broken (I17, I18).
  void applied(const std::string& tag, int64_t revision, ErrorCode code);
  /// At these revisions copies were done of which no client was told.
  std::vector<int64_t> untold(const std::string& tag) const;
  /// A client was told that its copy did it. Throws Broken (I17).
  void answered(const std::string& tag, int64_t revision);
  /// A client was told that its copy had no effect. Throws Broken (I17, I18).
  void refused(const std::string& tag, ErrorCode code);
  /// A client was told that nobody knows. Throws Broken (I17).
  void unknown(const std::string& tag, ErrorCode code);

 private:
  struct Write {
    int64_t sent = 0;
    int64_t done = 0;                       ///< copies that the log says wrote
    int64_t refused = 0;                    ///< copies that were answered NOT APPLIED
    std::map<ErrorCode, int64_t> judged;    ///< copies that the log says were refused
    std::map<ErrorCode, int64_t> told;      ///< answers that say so
    std::set<int64_t> revisions, answered;  ///< of copies that were done; of these, told
  };
  static void judge(const std::string& tag, const Write& write);

  World& world_;
  std::map<std::string, Write> writes_;
};

}  // namespace holdfast::sim
