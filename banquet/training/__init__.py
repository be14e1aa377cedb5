import os

# Torch reads this when it is first imported. By default its threads spin while they wait for each other, and where another
# process wants a core as well, two threads are ten times slower than one; sleeping, they are as fast as the free cores are.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
