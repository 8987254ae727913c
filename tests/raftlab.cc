// raftlab: scripts a group of Raft cores from standard input, one command a line. Nothing moves by
// itself. docs/raftlab.md is the reference.
#include <cstdio>
#include <iostream>
#include <string>

#include "tests/raftlab/lab.h"

namespace {

/// Reads a line without its end. Of an overlong one as much is kept as shows that it is too long.
bool next_line(std::istream& in, std::string& line) {
  line.clear();
  std::streambuf& bytes = *in.rdbuf();
  int byte = bytes.sbumpc();
  if (byte == EOF) return false;
  for (; byte != EOF && byte != '\n'; byte = bytes.sbumpc()) {
    if (line.size() <= holdfast::raftlab::kLineBytesMax) line.push_back(static_cast<char>(byte));
  }
  return true;
}

}  // namespace

int main(int argc, char**) {
  if (argc > 1) {
    std::fputs("raftlab takes no arguments; it reads commands from standard input\n", stderr);
    return 2;
  }
  std::ios::sync_with_stdio(false);
  holdfast::raftlab::Lab lab;
  std::string line;
  while (!lab.broken() && next_line(std::cin, line)) std::cout << lab.run(line) << std::flush;
  return lab.broken() ? 1 : 0;
}
