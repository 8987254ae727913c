#include "coordinator/snapshot/check_thread.h"

#include <system_error>
#include <utility>

#include "coordinator/snapshot/loader.h"
#include "coordinator/snapshot/sqlite.h"

namespace holdfast::snapshot {

CheckThread::CheckThread(std::string path, std::string vfs) {
  ended_ = false;
  try {
    thread_ = std::thread([this, path = std::move(path), vfs = std::move(vfs)] { run(path, vfs); });
  } catch (const std::system_error&) {
    ended_ = true;
  }
}

CheckThread::~CheckThread() {
  if (thread_.joinable()) thread_.join();
}

bool CheckThread::ended_within(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [this] { return ended_; });
}

std::optional<Status> CheckThread::outcome() {
  if (thread_.joinable()) thread_.join();
  return outcome_;
}

void CheckThread::run(const std::string& path, const std::string& vfs) {
  check(path, vfs);
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_one();
}

void CheckThread::check(const std::string& path, const std::string& vfs) {
  auto database = Database::open(path, Database::Mode::kRead, vfs);
  // The first statement opens what belongs to the database, besides.
  if (!database.ok() || !database->integer("PRAGMA application_id").ok()) return;
  outcome_ = quick_check(*database);
  failed_ = !outcome_->ok();
}

}  // namespace holdfast::snapshot
