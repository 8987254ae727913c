// The quarantine of a server's state, over the lives of the process.
#include <glog/logging.h>

#include "coordinator/server/server.h"

namespace holdfast::server {

loading::QuarantineFile Server::quarantine_file() {
  return {files_, directory_->path(), kDefaultGroup};
}

QuarantinePorts Server::quarantine_ports() {
  return {quarantined_,
          [this](const std::string& why) {
            quarantined_ = why;
            return quarantine_file().write(why);
          },
          [](const std::string& line) { LOG(ERROR) << line; }};
}

// In this order: as long as the quarantined database is in force, the file says so. After a crash
// behind the first step the state comes from the log or from another server.
Status Server::end_quarantine() {
  if (!quarantined_) return ok_status();
  if (!snapshots_->empty()) {
    const std::string kept = snapshots_->aside_path();
    if (Status aside = snapshots_->set_aside(); !aside.ok()) return aside;
    LOG(INFO) << (kept.empty() ? "the database that the server had was removed: nothing is kept"
                               : "the database that the server had is kept as " + kept);
  }
  if (Status removed = quarantine_file().remove(); !removed.ok()) return removed;
  LOG(INFO) << "the quarantine ends with the state that another server sent";
  quarantined_.reset();
  return ok_status();
}

}  // namespace holdfast::server
