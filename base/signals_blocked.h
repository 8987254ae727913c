// Threads that are given no signals: those of a program are for the threads that wait for them.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace holdfast {

/// While it lives, this thread is given no signals, and a thread that it begins is given none for
/// good: the kernel hands a signal to any thread that does not block it, and whoever waits for it,
/// by signalfd(2), sigwait(3) or ppoll(2), would not hear of it. What a thread does wrong itself
/// (SIGSEGV and the like) is told it all the same.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t signals;
    sigfillset(&signals);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
      sigdelset(&signals, fault);
    }
    pthread_sigmask(SIG_BLOCK, &signals, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace holdfast
