#include "coordinator/server/alarms.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace holdfast::server {
namespace {

std::string mib(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

int64_t to_us(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

std::string ms(Duration duration) { return std::to_string(to_ms(duration)) + " ms"; }

void add(std::vector<api::Alarm>& out, const char* name, std::string message) {
  api::Alarm alarm;
  alarm.name = name;
  alarm.message = std::move(message);
  out.push_back(std::move(alarm));
}

}  // namespace

void add_room_alarms(const Room& room, std::vector<api::Alarm>& out) {
  const raft::DiskRoom& disk = room.disk();
  const std::string free = disk.path + " has " + mib(disk.free_bytes) + " free";
  const std::string since = "for " + std::to_string(to_ms(room.in_this_state()) / 1'000) + " s";
  if (disk.full()) {
    add(out, "NO_SPACE",
        free + ", " + mib(disk.needed_bytes) + " are wanted, and there is no room for " +
            disk.missing + ", " + since +
            ": as long as no quorum has room only what frees or keeps alive is done");
  } else if (disk.state == raft::DiskRoom::State::kLow) {
    add(out, "LOW_SPACE",
        free + ", " + since + ": below " + mib(disk.needed_bytes) +
            " only what frees or keeps alive is done");
  }
  if (const auto refused = room.refused_copy()) add(out, "COPY_REFUSED", *refused);
}

void add_slow_disk_alarm(const raft::LogWriteStats& log, NodeId node, int64_t slow_sync_ms,
                         std::vector<api::Alarm>& out) {
  const Duration limit = from_ms(slow_sync_ms);
  const std::string name = "the log of node " + std::to_string(node.value);
  if (log.under_way > limit) {
    add(out, "SLOW_DISK", name + " waits for its disk for " + ms(log.under_way));
  } else if (log.recent.p99 > limit) {
    add(out, "SLOW_DISK",
        "the slowest hundredth of the writes of " + name + " takes " + ms(log.recent.p99) +
            " (median " + ms(log.recent.median) + ", longest " + ms(log.recent.max) + ", " +
            std::to_string(log.recent.count) + " in the last minute); " + ms(limit) +
            " are the limit");
  }
}

api::DiskStatus disk_status(const raft::DiskRoom& room, const raft::LogWriteStats& log) {
  api::DiskStatus status;
  status.state = raft::room_state_name(room.state);
  status.path = room.path;
  status.freeBytes = static_cast<int64_t>(room.free_bytes);
  status.neededBytes = static_cast<int64_t>(room.needed_bytes);
  status.reserveBytes = static_cast<int64_t>(room.reserve_bytes);
  status.syncMedianUs = to_us(log.recent.median);
  status.syncP99Us = to_us(log.recent.p99);
  status.syncMaxUs = to_us(std::max(log.recent.max, log.under_way));
  return status;
}

}  // namespace holdfast::server
