// Alarms in the log: a line when one is raised and a line when it has ended, whatever its sentence
// says meanwhile (it may count seconds). Alarms are looked at now and then, so one that was away
// for a moment is the same one.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "gen/cpp/admin_types.h"

namespace holdfast::server {

class AlarmLog {
 public:
  static constexpr Duration kLookEvery = 1s;
  /// It has ended when it was not there for so long.
  static constexpr Duration kQuiet = 5s;

  explicit AlarmLog(std::function<void(const std::string&)> log);

  /// All that there are.
  void look(Instant now, const std::vector<api::Alarm>& alarms);

 private:
  struct Standing {
    Instant raised;
    Instant seen;
  };
  using Key = std::pair<std::string, int32_t>;  ///< its name, and the server it is about

  void log_ended(Instant now);

  const std::function<void(const std::string&)> log_;
  std::map<Key, Standing> standing_;
};

}  // namespace holdfast::server
