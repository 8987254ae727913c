// Exit codes of `holdfast`, documented in docs/install.md. Those of a command run under a lock pass
// through unchanged; ours follow sysexits.h where it has one.
#pragma once

namespace holdfast::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitDamaged = 1;       ///< log or snapshot: there is damage
inline constexpr int kExitConditions = 1;    ///< txn: the conditions did not hold
inline constexpr int kExitDegraded = 1;      ///< status --check: somebody must look
inline constexpr int kExitUsage = 64;        ///< the command line is wrong
inline constexpr int kExitRefused = 65;      ///< a server refused, or a file is of a newer format
inline constexpr int kExitNoKey = 66;        ///< get, ls, tree: there is no such key
inline constexpr int kExitUnavailable = 69;  ///< no server could answer in time
inline constexpr int kExitUnknown = 70;      ///< it may or may not have been done
inline constexpr int kExitCannotWrite = 73;  ///< the file, or standard output, cannot be written
inline constexpr int kExitNotGranted = 75;   ///< the lock was not granted; the command did not run
inline constexpr int kExitLost = 76;         ///< the lock was lost; the command was stopped
inline constexpr int kExitCannotRun = 126;   ///< the command could not be started
inline constexpr int kExitNotFound = 127;    ///< the command does not exist
inline constexpr int kExitSignal = 128;      ///< plus the signal that ended it

}  // namespace holdfast::cli
