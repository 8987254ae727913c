#include "coordinator/snapshot/check_thread.h"

#include <utility>

#include "coordinator/snapshot/loader.h"
#include "coordinator/snapshot/sqlite.h"

namespace holdfast::snapshot {

CheckThread::CheckThread(std::string path, std::string vfs)
    : thread_([this, path = std::move(path), vfs = std::move(vfs)] { check(path, vfs); }) {}

std::optional<Status> CheckThread::outcome() {
  thread_.join();
  return outcome_;
}

void CheckThread::check(const std::string& path, const std::string& vfs) {
  auto database = Database::open(path, Database::Mode::kRead, vfs);
  // The first statement opens what belongs to the database, besides.
  if (!database.ok() || !database->integer("PRAGMA application_id").ok()) return;
  outcome_ = quick_check(*database);
  failed_ = !outcome_->ok();
}

}  // namespace holdfast::snapshot
