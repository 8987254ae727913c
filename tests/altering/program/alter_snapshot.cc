// alter-snapshot DIRECTORY FROM TO: in the first row that has the text FROM, writes TO, which is as
// long, so that the snapshot in the directory is another state and whole in itself. For tests.
#include <cstdio>
#include <string>

#include "raft/storage/posix_file_system.h"
#include "tests/altering/altered_snapshot.h"

int main(int argc, char** argv) {
  using holdfast::altering::alter;
  if (argc != 4 || std::string(argv[2]).size() != std::string(argv[3]).size()) {
    std::fprintf(stderr, "usage: alter-snapshot DIRECTORY FROM TO, FROM and TO of one length\n");
    return 2;
  }
  holdfast::raft::PosixFileSystem files;
  auto store = holdfast::snapshot::SnapshotStore::open(files, argv[1]);
  if (!store.ok()) {
    std::fprintf(stderr, "%s\n", store.error().message.c_str());
    return 1;
  }
  const auto done = alter(**store, holdfast::altering::replacing(argv[2], argv[3]));
  if (done.ok() && *done) return 0;
  std::fprintf(stderr, "%s\n", done.ok() ? "no row has that text" : done.error().message.c_str());
  return 1;
}
