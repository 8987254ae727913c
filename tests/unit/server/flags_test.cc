// The flags of holdfastd: every bound, contradictions, and flag files. A bad one is one error that
// names the flag, its value and what is allowed (PROMISE 14).
#include <gflags/gflags.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "coordinator/server/options.h"

namespace holdfast::server {
namespace {

using ::testing::HasSubstr;

class FlagsTest : public testing::Test {
 protected:
  static Result<ServerOptions> parse(std::vector<std::string> flags) {
    const gflags::FlagSaver saver;
    flags.insert(flags.begin(), "holdfastd");
    std::vector<char*> argv;
    for (std::string& flag : flags) argv.push_back(flag.data());
    argv.push_back(nullptr);
    return options_from_flags(static_cast<int>(flags.size()), argv.data());
  }
  static void expect_refused(const std::vector<std::string>& flags, const std::string& text) {
    const auto options = parse(flags);
    ASSERT_FALSE(options.ok()) << testing::PrintToString(flags) << " was taken";
    EXPECT_EQ(options.error().code, ErrorCode::kBadArgument);
    EXPECT_THAT(options.error().message, HasSubstr(text));
  }
  static void expect_taken(const std::vector<std::string>& flags) {
    const auto options = parse(flags);
    EXPECT_TRUE(options.ok()) << testing::PrintToString(flags) << ": " << options.error().message;
  }
  /// A file with this content, gone with the test.
  std::string file(const std::string& content) {
    paths.push_back(testing::TempDir() + "/flags_test." + std::to_string(::getpid()) + "." +
                    std::to_string(paths.size()));
    std::ofstream(paths.back()) << content;
    return paths.back();
  }
  void TearDown() override {
    for (const std::string& path : paths) std::remove(path.c_str());
  }

  std::vector<std::string> paths;
};

TEST_F(FlagsTest, AFlagOfTheLoggingLibraryThatWouldBeIgnoredIsRefused) {
  expect_refused({"--log_dir=/tmp"}, "--log_dir: the directory of log files is --glog_dir here");
  expect_refused({"--logtostderr"}, "--logtostderr: standard error is where logs go");
  expect_refused({"--logbufsecs=9"}, "--logbufsecs");
}

struct Bounds {
  const char* flag;
  int64_t low;
  int64_t high;
  std::vector<std::string> others = {};  ///< what must be said with it to be valid
};

class FlagBounds : public FlagsTest, public testing::WithParamInterface<Bounds> {};

TEST_P(FlagBounds, IsTakenAtItsBoundsAndRefusedBeyondWithTheValueAndTheLimits) {
  const Bounds& bounds = GetParam();
  const auto with = [&](int64_t value) {
    std::vector<std::string> flags = bounds.others;
    flags.push_back("--" + std::string(bounds.flag) + "=" + std::to_string(value));
    return flags;
  };
  expect_taken(with(bounds.low));
  expect_taken(with(bounds.high));
  const std::string range =
      "must be from " + std::to_string(bounds.low) + " to " + std::to_string(bounds.high);
  for (const int64_t value : {bounds.low - 1, bounds.high + 1}) {
    if (value < 0) continue;
    const std::string name = "--" + std::string(bounds.flag) + "=" + std::to_string(value);
    expect_refused(with(value), name + ": " + range);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Flags, FlagBounds,
    testing::Values(
        Bounds{"node_id", 1, 1'000},
        Bounds{"heartbeat_ms",
               5,
               10'000,
               {"--election_timeout_min_ms=30000", "--election_timeout_max_ms=60000"}},
        Bounds{"election_timeout_min_ms", 300, 59'999, {"--election_timeout_max_ms=60000"}},
        Bounds{"election_timeout_max_ms", 501, 60'000}, Bounds{"clock_drift_permille", 1, 200},
        Bounds{"session_ttl_min_ms", 100, 60'000}, Bounds{"segment_bytes", 64 << 10, 1 << 30},
        Bounds{"snapshot_log_bytes", 64 << 10, int64_t{64} << 30},
        Bounds{"snapshot_interval_s", 1, 86'400}, Bounds{"max_client_connections", 1, 1'000'000},
        Bounds{"max_frame_bytes", 64 << 10, 16 << 20},
        Bounds{"max_calls_per_connection", 1, 10'000'000},
        Bounds{"max_pending_commands", 16, 10'000'000}, Bounds{"max_pending_reads", 16, 10'000'000},
        Bounds{"max_uncommitted_bytes", 4 << 20, int64_t{4} << 30},
        Bounds{"max_parked_calls", 16, 100'000'000},
        Bounds{"max_watches_per_session", 1, 1'000'000},
        Bounds{"history_bytes", 1 << 16, int64_t{64} << 30},
        Bounds{"history_events", 10, 100'000'000}, Bounds{"frame_timeout_ms", 100, 600'000},
        Bounds{"idle_timeout_ms", 1'000, 86'400'000}, Bounds{"drain_ms", 0, 60'000}),
    [](const auto& bounds) { return std::string(bounds.param.flag); });

TEST_F(FlagsTest, WithoutFlagsAServerStandsAloneOnLoopback) {
  const auto options = parse({});
  ASSERT_TRUE(options.ok());
  EXPECT_TRUE(options->bootstrap);
  EXPECT_TRUE(options->initial_cluster.empty());
  EXPECT_EQ(options->client_listen.host, "127.0.0.1");
}

TEST_F(FlagsTest, AnIdleTimeoutOfZeroMeansNever) {
  const auto options = parse({"--idle_timeout_ms=0"});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->idle_timeout_ms, 0);
}

TEST_F(FlagsTest, EveryFlagReachesItsOption) {
  const auto o = parse({"--node_id=2",
                        "--data_dir=/d",
                        "--client_advertise=c:1",
                        "--peer_advertise=p:2",
                        "--heartbeat_ms=50",
                        "--election_timeout_min_ms=400",
                        "--election_timeout_max_ms=900",
                        "--nopre_vote",
                        "--nocheck_quorum",
                        "--nofast_failover",
                        "--clock_drift_permille=20",
                        "--session_ttl_min_ms=5000",
                        "--segment_bytes=65536",
                        "--snapshot_log_bytes=65538",
                        "--snapshot_interval_s=11",
                        "--max_client_connections=7",
                        "--max_frame_bytes=65537",
                        "--max_calls_per_connection=8",
                        "--max_pending_commands=17",
                        "--max_uncommitted_bytes=4194305",
                        "--max_parked_calls=18",
                        "--max_watches_per_session=19",
                        "--history_bytes=65537",
                        "--history_events=20",
                        "--idle_timeout_ms=1001",
                        "--frame_timeout_ms=101",
                        "--drain_ms=9",
                        "--glog_dir=/tmp",
                        "--initial_cluster=2=h:2,1=h:1",
                        "--bootstrap"});
  ASSERT_TRUE(o.ok()) << o.error().message;
  EXPECT_EQ(o->node_id, NodeId(2));
  EXPECT_EQ(o->data_dir, "/d");
  EXPECT_EQ(o->client_advertise, "c:1");
  EXPECT_EQ(o->peer_advertise, "p:2");
  EXPECT_EQ(o->heartbeat_ms, 50);
  EXPECT_EQ(o->election_timeout_min_ms, 400);
  EXPECT_EQ(o->election_timeout_max_ms, 900);
  EXPECT_FALSE(o->pre_vote || o->check_quorum || o->fast_failover);
  EXPECT_EQ(o->clock_drift_permille, 20);
  EXPECT_EQ(o->session_ttl_min_ms, 5'000);
  EXPECT_EQ(o->segment_bytes, 65'536u);
  EXPECT_EQ(o->snapshot_log_bytes, 65'538u);
  EXPECT_EQ(o->snapshot_interval_s, 11);
  EXPECT_EQ(o->max_client_connections, 7u);
  EXPECT_EQ(o->max_frame_bytes, 65'537u);
  EXPECT_EQ(o->max_calls_per_connection, 8u);
  EXPECT_EQ(o->max_pending_commands, 17u);
  EXPECT_EQ(o->max_uncommitted_bytes, 4'194'305u);
  EXPECT_EQ(o->max_parked_calls, 18u);
  EXPECT_EQ(o->max_watches_per_session, 19u);
  EXPECT_EQ(o->history_bytes, 65'537u);
  EXPECT_EQ(o->history_events, 20u);
  EXPECT_EQ(o->idle_timeout_ms, 1'001);
  EXPECT_EQ(o->frame_timeout_ms, 101);
  EXPECT_EQ(o->drain_ms, 9);
  EXPECT_EQ(o->log_dir, "/tmp");
  EXPECT_TRUE(o->bootstrap);
  ASSERT_EQ(o->initial_cluster.size(), 2u);
  EXPECT_EQ(o->initial_cluster[0].id, NodeId(1)) << "in the order of the ids";
}

// ---- what contradicts itself -----------------------------------------------------------------

TEST_F(FlagsTest, TimeoutsThatContradictEachOtherAreRefused) {
  expect_refused({"--heartbeat_ms=200"},
                 "--election_timeout_min_ms=500: must be from 600 to 59999, and 3 times "
                 "--heartbeat_ms=200 at least");
  expect_refused({"--election_timeout_min_ms=1000"},
                 "--election_timeout_max_ms=1000: must be from 1001 to 60000");
}

TEST_F(FlagsTest, AddressesBeyondLoopbackNeedToBeAskedFor) {
  for (const char* flag : {"client_address", "peer_address", "admin_address", "http_address"}) {
    const std::string text = "--" + std::string(flag) + "=10.0.0.1:7000";
    expect_refused({text}, text + ": is beyond loopback");
    expect_taken({text, "--insecure"});
  }
}

TEST_F(FlagsTest, AnAddressThatNobodyCanDialIsNotToldToOthers) {
  expect_refused({"--insecure", "--client_address=0.0.0.0:7411"},
                 "--client_address=0.0.0.0:7411: names no host that clients could dial: say "
                 "--client_advertise");
  expect_refused({"--insecure", "--client_address=[::]:7411"}, "--client_advertise");
  expect_refused({"--insecure", "--peer_address=*:7412", "--initial_cluster=1=a:1,2=b:1"},
                 "--peer_advertise");
  expect_refused({"--client_advertise=0.0.0.0:7411"}, "--client_advertise=0.0.0.0:7411");
  expect_taken({"--insecure", "--client_address=0.0.0.0:7411", "--client_advertise=me:7411"});
  expect_taken({"--insecure", "--admin_address=0.0.0.0:1", "--http_address=0.0.0.0:2"});
}

TEST_F(FlagsTest, AClusterListMustBeWellFormedAndNameEachServerOnce) {
  for (const char* bad : {"1", "x=h:1", "0=h:1", "1001=h:1", "-1=h:1", "1=h", "1=h:99999", "=h:1",
                          "1=h:1,,2=h:2", "1=h:1 ,2=h:2", "1==h:1"}) {
    expect_refused({"--initial_cluster=" + std::string(bad)}, "--initial_cluster=");
  }
  expect_refused({"--initial_cluster=1=h:1,2=h:2,1=h:3"}, "node 1 stands there twice");
  expect_refused({"--initial_cluster=1=h:1,2=h:1"}, "h:1 stands there twice");
  expect_refused({"--initial_cluster=2=h:1,3=h:2"},
                 "--initial_cluster=2=h:1,3=h:2: does not list this server, --node_id=1");
}

TEST_F(FlagsTest, WhoJoinsNamesAServer) {
  // As from a variable that is not set: a cluster of one would be formed.
  expect_refused({"--join="}, "--join=: names no server");
  expect_taken({"--join=h:1"});
}

TEST_F(FlagsTest, AClusterListHasALimit) {
  std::string list = "1=h:1";
  for (int id = 2; id <= 64; ++id) list += "," + std::to_string(id) + "=h:" + std::to_string(id);
  expect_taken({"--initial_cluster=" + list});
  expect_refused({"--initial_cluster=" + list + ",65=h:65"}, "65 servers: the limit is 64");
}

TEST_F(FlagsTest, AClusterListOfThisServerAloneNeedsNoBootstrap) {
  const auto alone = parse({"--initial_cluster=1=127.0.0.1:7412"});
  ASSERT_TRUE(alone.ok());
  EXPECT_TRUE(alone->bootstrap) << "there is nobody else to wait for";
  const auto three = parse({"--initial_cluster=1=h:1,2=h:2,3=h:3"});
  ASSERT_TRUE(three.ok());
  EXPECT_FALSE(three->bootstrap);
}

TEST_F(FlagsTest, AnEmptyDirectoryAndWordsThatAreNoFlagsAreRefused) {
  expect_refused({"--data_dir="}, "--data_dir=: must name a directory");
  expect_refused({"start"}, "'start' is not a flag");
  expect_refused({"--client_address=7411"}, "--client_address=7411");
}

// ---- what the parser finds -------------------------------------------------------------------

TEST_F(FlagsTest, AnUnknownFlagOrAValueOfAnotherTypeIsNamed) {
  expect_refused({"--no_such_flag=1"}, "unknown flag 'no_such_flag'");
  expect_refused({"--no_such_flag"}, "unknown flag 'no_such_flag'");
  expect_refused({"--nonode_id"}, "unknown flag 'nonode_id'");
  expect_refused({"--node_id=one"}, "--node_id=one: must be a whole number that fits int32");
  expect_refused({"--max_parked_calls=-1"}, "--max_parked_calls=-1: must be a whole number");
  expect_refused({"--heartbeat_ms=99999999999999999999"}, "--heartbeat_ms=99999999999999999999: ");
  expect_refused({"--pre_vote=maybe"}, "--pre_vote=maybe: must be true or false");
  expect_refused({"--node_id"}, "--node_id: needs a value");
  expect_refused({"--undefok=no_such_flag"}, "unknown flag 'undefok'");
  expect_refused({"-"}, "unknown flag ''");
}

TEST_F(FlagsTest, AValueMayFollowItsFlagAndTheLastOneCounts) {
  const auto options = parse({"-node_id", "7", "--drain_ms=5", "--drain_ms", "6"});
  ASSERT_TRUE(options.ok()) << options.error().message;
  EXPECT_EQ(options->node_id, NodeId(7));
  EXPECT_EQ(options->drain_ms, 6);
}

using FlagsDeathTest = FlagsTest;

TEST_F(FlagsDeathTest, HelpIsNoFailure) {
  EXPECT_EXIT(static_cast<void>(parse({"--help"})), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(static_cast<void>(parse({"--version"})), testing::ExitedWithCode(0), "");
}

// ---- flag files ------------------------------------------------------------------------------

TEST_F(FlagsTest, AFlagFileMayHaveCommentsAndNamesOfThisProgramOnly) {
  expect_taken({"--flagfile=" + file("# a server\n\n--node_id=7\n  --nopre_vote\n-drain_ms=5\n")});
  expect_refused({"--flagfile=" + file("--node_id=7\n--no_such_flag=1\n")},
                 "unknown flag 'no_such_flag'");
  expect_refused({"--flagfile=" + file("--nonode_id\n")}, "unknown flag 'nonode_id'");
  expect_refused({"--flagfile=" + file("node_id=7\n")}, "'node_id=7' is not a flag");
  const std::string typo = file("# one\n\n--node_id=2\n  --typo\n");
  expect_refused({"--flagfile", typo}, "--flagfile=" + typo + ", line 4: unknown flag 'typo'");
  const std::string outer = file("--node_id=2\n--flagfile=" + typo + "\n");
  expect_refused({"--flagfile", outer}, outer + ", line 2: --flagfile=" + typo + ", line 4: unkn");
  expect_refused({"--flagfile=" + file("---\n")}, "unknown flag '-'");
}

TEST_F(FlagsTest, AFlagFileThatCannotBeReadOrIncludesItselfIsRefused) {
  expect_refused({"--flagfile=/no/such/file"}, "--flagfile=/no/such/file: cannot be read");
  expect_refused({"--flagfile=" + testing::TempDir()}, "cannot be read");
  expect_refused({"--flagfile=" + file("--flagfile=/no/such/file\n")}, "cannot be read");
  const std::string loop = file("");
  std::ofstream(loop) << "--flagfile=" << loop << "\n";
  expect_refused({"--flagfile=" + loop}, "more than 8 deep");
}

TEST_F(FlagsTest, AValueFromAFlagFileIsJudgedLikeAnyOther) {
  expect_refused({"--flagfile=" + file("--node_id=0\n")}, "--node_id=0: must be from 1 to 1000");
}

TEST_F(FlagsTest, TwoAddressesCannotHaveOnePort) {
  expect_refused({"--peer_address=127.0.0.1:7411"},
                 "--peer_address=127.0.0.1:7411: has the port of --client_address=127.0.0.1:7411");
  expect_refused({"--http_address=127.0.0.1:7413"},
                 "--http_address=127.0.0.1:7413: has the port of --admin_address=127.0.0.1:7413");
  expect_refused({"--insecure", "--admin_address=0.0.0.0:7412"},
                 "--admin_address=0.0.0.0:7412: has the port of --peer_address=127.0.0.1:7412");
  expect_taken({"--client_address=127.0.0.1:7412", "--peer_address=127.0.0.2:7412"});
  expect_taken({"--client_address=127.0.0.1:0", "--admin_address=127.0.0.1:0"});
}

}  // namespace
}  // namespace holdfast::server
