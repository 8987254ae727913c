#include "clients/cli/output.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"

namespace holdfast::cli {
namespace {

/// So much at least a pipe takes at once that is ready for any.
constexpr size_t kAtOnce = PIPE_BUF;
constexpr Duration kPatience = 100ms;

/// As many whole lines as go at once, of a longer line its beginning.
std::string_view next_piece(std::string_view lines) {
  if (lines.size() <= kAtOnce) return lines;
  const size_t end = lines.rfind('\n', kAtOnce - 1);
  return lines.substr(0, end == std::string_view::npos ? kAtOnce : end + 1);
}

/// Where to write to without waiting. A pipe may have other writers, who take the room that it had
/// a moment ago, and not to wait is a matter of its description, which is shared with them: so it
/// is written to through one of its own. Where that cannot be had, and for all else, it is `fd`
/// itself.
class Unwaiting {
 public:
  explicit Unwaiting(int fd) : fd_(fd) {
    struct stat found;
    if (fstat(fd, &found) != 0 || !S_ISFIFO(found.st_mode)) return;
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    own_ = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ~Unwaiting() {
    const int error = errno;
    if (own_ >= 0) close(own_);
    errno = error;
  }
  Unwaiting(const Unwaiting&) = delete;
  Unwaiting& operator=(const Unwaiting&) = delete;

  int fd() const { return own_ >= 0 ? own_ : fd_; }

 private:
  int fd_;
  int own_ = -1;
};

/// `is_ready` waits until something is taken; false: it is not to be waited for.
template <class IsReady>
Output::Taken write_lines(int fd, std::string_view lines, IsReady&& is_ready) {
  const Unwaiting to(fd);
  while (!lines.empty()) {
    if (!is_ready()) return Output::Taken::kInterrupted;
    const std::string_view piece = next_piece(lines);
    const ssize_t written = ::write(to.fd(), piece.data(), piece.size());
    if (written >= 0) {
      lines.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      return Output::Taken::kFailed;
    }
  }
  return Output::Taken::kAll;
}

}  // namespace

Output::Output(const std::vector<int>& signals) {
  sigemptyset(&signals_);
  for (const int signal : signals) sigaddset(&signals_, signal);
  signal_fd_ = signalfd(-1, &signals_, SFD_CLOEXEC | SFD_NONBLOCK);
}

Output::~Output() {
  if (signal_fd_ >= 0) close(signal_fd_);
}

// A handler may run between a look at what it has noted and the wait for the reader. So the signals
// are kept back meanwhile, and waited for beside the reader.
Output::Taken Output::write(std::string_view lines) {
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &signals_, &before);
  const Taken taken = write_lines(STDOUT_FILENO, lines, [this] {
    pollfd ready[] = {{STDOUT_FILENO, POLLOUT, 0}, {signal_fd_, POLLIN, 0}};
    while (poll(ready, 2, -1) < 0) {
    }
    return ready[0].revents != 0;
  });
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return taken;
}

void say_on_stderr(const std::string& line) {
  SystemClock clock;
  const Instant until = clock.now() + kPatience;
  [[maybe_unused]] const auto taken = write_lines(STDERR_FILENO, line + "\n", [&] {
    pollfd ready{STDERR_FILENO, POLLOUT, 0};
    for (;;) {
      const int64_t left = std::max<int64_t>(0, to_ms(until - clock.now()));
      const int found = poll(&ready, 1, static_cast<int>(left));
      if (found > 0) return true;
      if (found == 0 || left == 0) return false;
    }
  });
}

}  // namespace holdfast::cli
