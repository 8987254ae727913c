#include "coordinator/snapshot/check_thread.h"

#include <system_error>
#include <utility>

#include "coordinator/snapshot/loader.h"
#include "coordinator/snapshot/sqlite.h"

namespace holdfast::snapshot {

CheckThread::CheckThread(std::string path, std::string vfs) {
  try {
    thread_ = std::thread([this, path = std::move(path), vfs = std::move(vfs)] { run(path, vfs); });
  } catch (const std::system_error&) {
  }
}

CheckThread::~CheckThread() {
  if (thread_.joinable()) thread_.join();
}

std::optional<Status> CheckThread::outcome() {
  if (thread_.joinable()) thread_.join();
  return outcome_;
}

void CheckThread::run(const std::string& path, const std::string& vfs) {
  auto database = Database::open(path, Database::Mode::kRead, vfs);
  // The first statement opens what belongs to the database, besides.
  if (!database.ok() || !database->integer("PRAGMA application_id").ok()) return;
  outcome_ = quick_check(*database);
  failed_ = !outcome_->ok();
}

}  // namespace holdfast::snapshot
