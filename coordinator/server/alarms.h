// What an operator must act on, as sentences: of the disk of this server (docs/operations.md).
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/server/room.h"
#include "gen/cpp/admin_types.h"
#include "raft/storage/log_writer.h"

namespace holdfast::server {

/// NO_SPACE, LOW_SPACE, COPY_REFUSED.
void add_room_alarms(const Room& room, std::vector<api::Alarm>& out);
/// SLOW_DISK: the slowest hundredth of the log's writes takes longer than that, or the one under
/// way does.
void add_slow_disk_alarm(const raft::LogWriteStats& log, NodeId node, int64_t slow_sync_ms,
                         std::vector<api::Alarm>& out);
/// For the status.
api::DiskStatus disk_status(const raft::DiskRoom& room, const raft::LogWriteStats& log);

}  // namespace holdfast::server
