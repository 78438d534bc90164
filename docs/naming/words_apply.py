#!/usr/bin/env python3
"""words_apply.py [--apply] CHECKOUT: rewrites the sentences of words_fixes.txt (comments re-wrapped at 119 columns, string literals kept in one line).
Prints every row that no longer fits the code; writes sentences.tsv (file, line, kind, now, better)."""
import re,sys,os,textwrap
here=os.path.dirname(os.path.abspath(__file__)); apply='--apply' in sys.argv; repo=sys.argv[-1]; os.chdir(repo)
rows=[];cur=None
for l in open(here+'/words_fixes.txt'):
    l=l.rstrip('\n')
    if not l or l.startswith('# '): continue
    if l.startswith('@ '): cur=l[2:]; continue
    a,b=l.split(' => ',1); rows.append((cur,a,b))
out=[];gone=0
norm=lambda s: re.sub(r'\s+',' ',s).strip()
for f,a,b in rows:
    if not os.path.exists(f): print('NO FILE',f); gone+=1; continue
    t=open(f).read(); L=t.split('\n'); hit=None; i=0
    while i<len(L):
        m=re.match(r'(\s*)(//[/!]?) ?(.*)$',L[i])
        if m and m.group(2)!='//':
            j=i;txt=[]
            while j<len(L):
                n=re.match(r'\s*%s ?(.*)$'%re.escape(m.group(2)),L[j])
                if not n or not n.group(1).strip(): break
                txt.append(n.group(1)); j+=1
            para=norm(' '.join(txt)); 
            if para==a or para.startswith(a) and (a.endswith((';','.')) ) and not (para!=a and len(a)<40 and para[len(a):len(a)+1] not in('',' ')):
                exact=para==a
                if hit is None or (exact and not hit[5]): hit=(i,j,m.group(1),m.group(2),para,exact)
                if exact: pass
            i=max(j,i+1); continue
        i+=1
    if hit:
        i,j,ind,mark,para,_=hit; out.append((f,i+1,'comment',a,b))
        if apply:
            new=b+para[len(a):]; w=textwrap.wrap(new,119-len(ind)-len(mark)-1,break_long_words=False,break_on_hyphens=False)
            L[i:j]=[ind+mark+' '+x for x in w]; open(f,'w').write('\n'.join(L))
        continue
    pat=r'\s*(?:\\\n\s*)?'.join(re.escape(x) for x in a.split(' ')).replace(r'\s*(?:\\\n\s*)?',r'(?:\s*\\\n\s*| )')
    m=re.search(pat,t)
    if m:
        out.append((f,t[:m.start()].count('\n')+1,'text',a,b))
        if apply: open(f,'w').write(t[:m.start()]+b+t[m.end():])
    else: print('GONE',f,a); gone+=1
with open(here+'/sentences.tsv','w') as o:
    o.write('file\tline\tkind\tnow\tbetter\n'); [o.write('\t'.join(map(str,r))+'\n') for r in out]
with open(here+'/sentences.md','w') as o:
    o.write('# Sentences to rewrite, first reading\n\nMachine form: `words.tsv`; source `renaming/words_fixes.txt`; `renaming/words_apply.py --apply CHECKOUT` rewrites them (comments are wrapped anew, texts replaced in their literals) and names rows that no longer fit. Texts are asserted in tests of the program and the API: run `cli` and `api` after. Ordered by what users meet first: public summaries, then texts.\n\n')
    for k,title in(('comment','Summaries'),('text','Errors, logs, help, pages')):
        o.write('## %s\n| where | now | better |\n|---|---|---|\n'%title)
        for f,n,kk,a,b in out:
            if kk==k: o.write('| %s:%d | %s | %s |\n'%(f.replace('src/',''),n,a.replace('|','\\|'),b.replace('|','\\|')))
        o.write('\n')
print(len(out),'rows',gone,'gone')
