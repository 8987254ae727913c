#include "coordinator/server/process_limits.h"

#include <malloc.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "coordinator/snapshot/row_span.h"

namespace holdfast::server {

namespace {

std::string way_to_raise(int error) {
  if (error == ENFILE) return "; raise the limit of the whole system (`sysctl fs.file-max`)";
  rlimit limit{};
  if (error != EMFILE || getrlimit(RLIMIT_NOFILE, &limit) != 0) return "";
  return "; raise the limit of open files (`ulimit -n`), which is " +
         std::to_string(limit.rlim_cur);
}

}  // namespace

// Best effort: check_descriptors() finds out what there is.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// The blocks of changes are some bytes smaller than those of rows.
static_assert(kGivenBackBytes <= snapshot::RowSpan::kBlockBytes / 2);

void give_back_large_blocks() { mallopt(M_MMAP_THRESHOLD, kGivenBackBytes); }

Status check_descriptors(const ServerOptions& options) {
  const size_t needed =
      kOwnDescriptors + kDescriptorsOfAnIoThread * static_cast<size_t>(options.io_threads);
  std::vector<int> opened;
  int error = 0;
  while (opened.size() < needed && error == 0) {
    const int fd = eventfd(0, EFD_CLOEXEC);
    if (fd >= 0) {
      opened.push_back(fd);
    } else {
      error = errno;
    }
  }
  for (const int fd : opened) ::close(fd);
  if (error == 0) return ok_status();
  return Error{ErrorCode::kLimitExceeded, "this server needs " + std::to_string(needed) +
                                              " open files before it has clients and could have " +
                                              std::to_string(opened.size()) + ": " +
                                              std::generic_category().message(error) +
                                              way_to_raise(error)};
}

std::string no_thread(const std::system_error& error) {
  return "a thread could not be begun: " + error.code().message() +
         "; raise the limit of processes and threads: of the user (`ulimit -u`), of the control "
         "group (pids.max, systemd's TasksMax) or of the system (`sysctl kernel.threads-max`), or "
         "that of memory (`ulimit -v`)";
}

}  // namespace holdfast::server
