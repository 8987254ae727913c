#include "coordinator/snapshot/check_thread.h"

#include <utility>

#include "coordinator/snapshot/loader.h"
#include "coordinator/snapshot/sqlite.h"

namespace holdfast::snapshot {

CheckThread::CheckThread(std::string path, std::string vfs)
    : thread_([this, path = std::move(path), vfs = std::move(vfs)] { run(path, vfs); }) {}

CheckThread::~CheckThread() {
  if (thread_.joinable()) thread_.join();
}

Status CheckThread::outcome() {
  thread_.join();
  return outcome_;
}

void CheckThread::run(const std::string& path, const std::string& vfs) {
  auto database = Database::open(path, Database::Mode::kRead, vfs);
  outcome_ = database.ok() ? quick_check(*database) : Status(database.error());
  failed_ = !outcome_.ok();
}

}  // namespace holdfast::snapshot
