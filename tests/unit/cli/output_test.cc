// Pipes with several writers: what one of them was told of room, another may have taken since.
#include "clients/cli/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "base/time.h"

namespace {

/// What happens after poll(2) found something, before its caller hears of it.
std::function<void()> after_poll;

}  // namespace

// The C library's, with something that comes in between.
extern "C" int poll(pollfd* watched, nfds_t count, int timeout_ms) {
  const timespec timeout{timeout_ms / 1000, timeout_ms % 1000 * 1'000'000L};
  const long found =
      syscall(SYS_ppoll, watched, count, timeout_ms < 0 ? nullptr : &timeout, nullptr, 0);
  if (found > 0 && after_poll) std::exchange(after_poll, nullptr)();
  return static_cast<int>(found);
}

namespace holdfast::cli {
namespace {

/// A pipe instead of one of the standard descriptors.
class OutputTest : public testing::Test {
 protected:
  explicit OutputTest(int standard = STDOUT_FILENO) : standard_(standard), before_(dup(standard)) {
    EXPECT_EQ(pipe(ends_), 0);
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    dup2(ends_[1], standard_);
    reader_ = std::thread([this] { read_if_it_takes_long(); });
  }
  ~OutputTest() override {
    after_poll = nullptr;  // it is of this test, whatever became of it
    dup2(before_, standard_);
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    reader_.join();
    for (const int fd : {before_, ends_[0], ends_[1]}) close(fd);
  }

  /// As another process that writes there.
  void fill() {
    const std::string path = "/proc/self/fd/" + std::to_string(ends_[1]);
    const int other = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    while (::write(other, "x", 1) == 1) {
    }
    close(other);
  }
  bool blocks_for_others() const { return (fcntl(ends_[1], F_GETFL) & O_NONBLOCK) == 0; }

 private:
  /// A writer who waits for ever goes on in the end, and the test fails.
  void read_if_it_takes_long() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, 30s, [this] { return over_; })) {
      char taken[4096];
      was_late_ |= ::read(ends_[0], taken, sizeof taken) > 0;
    }
    EXPECT_FALSE(was_late_) << "it waited for a reader";
  }

  const int standard_;
  const int before_;
  int ends_[2] = {-1, -1};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  bool was_late_ = false;
  std::thread reader_;
};

class ErrorsTest : public OutputTest {
 protected:
  ErrorsTest() : OutputTest(STDERR_FILENO) {}
};

TEST_F(OutputTest, ASignalIsHeardThoughAnotherWriterTookTheRoomThatThereWas) {
  const auto before = signal(SIGUSR1, [](int) {});
  Output output({SIGUSR1});
  after_poll = [this] {
    fill();
    raise(SIGUSR1);
  };
  EXPECT_EQ(output.write("a line\n"), Output::Taken::kInterrupted);
  EXPECT_FALSE(after_poll) << "nobody took the room";
  EXPECT_TRUE(blocks_for_others());
  signal(SIGUSR1, before);
}

TEST_F(ErrorsTest, ALineIsNotWaitedWithThoughAnotherWriterTookTheRoomThatThereWas) {
  after_poll = [this] { fill(); };
  say_on_stderr("a line");
  EXPECT_FALSE(after_poll) << "nobody took the room";
  EXPECT_TRUE(blocks_for_others());
}

}  // namespace
}  // namespace holdfast::cli
