#include "interrupt.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>

namespace ecmigrate {

namespace {

sigset_t listened_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);   // its terminal is gone; one that nohup ignores does not come
  sigaddset(&set, SIGUSR2);  // our own, to end the thread
  return set;
}

}  // namespace

Interrupt::Interrupt() {
  const sigset_t set = listened_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A reader of our output that goes away must not end a migration.
  ::signal(SIGPIPE, SIG_IGN);
  m_thread = std::thread([this] { listen(); });
}

Interrupt::~Interrupt() {
  m_ending = true;
  pthread_kill(m_thread.native_handle(), SIGUSR2);
  m_thread.join();
}

void Interrupt::listen() {
  const sigset_t set = listened_signals();
  for (;;) {
    int number = 0;
    sigwait(&set, &number);
    if (number == SIGUSR2) {
      if (m_ending) {
        return;
      }
      continue;
    }
    if (m_signal != 0) {
      _exit(128 + number);
    }
    m_signal = number;
    std::fputs(m_silent ? "\n" : "\nstopping; again to stop at once\n", stderr);
    m_stop.request_stop();
  }
}

}  // namespace ecmigrate
