#include "base/net/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"

namespace holdfast::net {

Mailbox::Mailbox() : wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  HF_CHECK(wake_fd_ >= 0, "the system gives no descriptor to wake a loop with");
}

Mailbox::~Mailbox() { ::close(wake_fd_); }

void Mailbox::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    work_.push_back(std::move(work));
    has_work_.store(true);
  }
  // Sequentially consistent on both sides: either this sees the loop asleep, or the loop, about to
  // sleep, sees that there is work. The exchange lets one of many posters signal.
  if (!sleeping_.exchange(false)) return;
  const uint64_t one = 1;
  const ssize_t written = write(wake_fd_, &one, sizeof one);
  HF_CHECK(written == sizeof one, "cannot wake the loop");
}

void Mailbox::clear_signal() {
  uint64_t count = 0;
  const ssize_t got = read(wake_fd_, &count, sizeof count);
  HF_CHECK(got == sizeof count || errno == EAGAIN, "cannot read the loop's own signal");
}

std::vector<std::function<void()>> Mailbox::take() {
  std::vector<std::function<void()>> work;
  const std::lock_guard lock(mutex_);
  work.swap(work_);
  has_work_.store(false);
  return work;
}

void Mailbox::close() {
  std::vector<std::function<void()>> dropped;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(work_);
}

}  // namespace holdfast::net
