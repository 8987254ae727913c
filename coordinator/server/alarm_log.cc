#include "coordinator/server/alarm_log.h"

namespace holdfast::server {

AlarmLog::AlarmLog(std::function<void(const std::string&)> log) : log_(std::move(log)) {}

void AlarmLog::look(Instant now, const std::vector<api::Alarm>& alarms) {
  for (const api::Alarm& alarm : alarms) {
    const auto [at, is_new] = standing_.try_emplace({alarm.name, alarm.nodeId}, Standing{now, now});
    at->second.seen = now;
    if (is_new) log_("alarm " + alarm.name + ": " + alarm.message);
  }
  log_ended(now);
}

void AlarmLog::log_ended(Instant now) {
  std::erase_if(standing_, [&](const auto& each) {
    const auto& [key, standing] = each;
    if (now - standing.seen < kQuiet) return false;
    const auto& [name, node] = key;
    const std::string of = node == 0 ? "" : " of node " + std::to_string(node);
    const int64_t stood_s = to_ms(standing.seen - standing.raised) / 1'000;
    const std::string after = stood_s == 0 ? "" : ", after " + std::to_string(stood_s) + " s";
    log_("alarm " + name + of + " has ended" + after);
    return true;
  });
}

}  // namespace holdfast::server
