module framerpeer

go 1.19
