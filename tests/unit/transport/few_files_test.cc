// Strangers on the peer port while the process may open few more files: each of them holds one that
// the log may need.
#include <sys/resource.h>
#include <unistd.h>

#include "base/net/socket.h"
#include "raft/transport/tcp_transport.h"
#include "tests/unit/transport/transport_test_util.h"

namespace holdfast::raft {
namespace {

/// Of the files that this process may open as few are left as it keeps for its own.
class FewFilesLeft {
 public:
  FewFilesLeft() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::dup(STDERR_FILENO);
    ::close(next);
    rlimit few = before_;
    few.rlim_cur = static_cast<rlim_t>(next) + net::kDescriptorsKept;
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewFilesLeft() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(TransportTest, WhileFewFilesAreLeftFewerStrangersAreLetIn) {
  Node& one = node(1, {.handshake_timeout = 2s});
  one.open();
  std::vector<std::unique_ptr<net::RawPeer>> silent;
  const auto come = [&] {
    silent.push_back(std::make_unique<net::RawPeer>(one.transport->port()));
    for (int i = 0; i < 3; ++i) loop.turn(1ms);
  };
  while (silent.size() < 12) come();
  EXPECT_FALSE(one.logged("gives way"));
  {
    const FewFilesLeft few;
    come();
  }
  EXPECT_TRUE(one.logged("the limit is 8, as few open files are left"));
  for (size_t i = 0; i < silent.size(); ++i) {
    if (i < 5) {
      EXPECT_TRUE(until([&] { return silent[i]->at_end(); })) << i;
    } else {
      EXPECT_FALSE(silent[i]->at_end()) << i;
    }
  }
  come();
  EXPECT_FALSE(silent[5]->at_end()) << "there are enough again";
}

}  // namespace
}  // namespace holdfast::raft
